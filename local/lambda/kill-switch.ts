import type { AwsCall, Disturbance } from '../common/aws-call.ts'

/** A moment at which a test may end an environment: one of its calls to AWS. */
export interface KillMoment {
  readonly environmentId: string
  readonly functionName: string
  /** The invocation under way; undefined when the call was made outside of one. */
  readonly requestId: string | undefined
  /** The call that has arrived: service, operation, input. */
  readonly call: Pick<AwsCall, 'service' | 'operation' | 'input'>
  /** How many calls the invocation has made, this one included; starts at 1. */
  readonly callNumber: number
}

/** `before-effect`: the call is lost. `after-effect`: it is carried out, and nobody hears the answer. */
export type KillDecision = 'before-effect' | 'after-effect' | undefined | false

/** A kill switch that is set. */
export interface KillSwitch {
  /** Environments ended by it. */
  readonly kills: number
  remove(): void
}

interface Armed {
  readonly functionName: string
  readonly predicate: (moment: KillMoment) => KillDecision
  kills: number
}

/** The kill switches of a runtime. */
export class KillSwitches {
  readonly #armed = new Set<Armed>()

  arm(functionName: string, predicate: (moment: KillMoment) => KillDecision): KillSwitch {
    const armed: Armed = { functionName, predicate, kills: 0 }
    this.#armed.add(armed)
    return {
      get kills() {
        return armed.kills
      },
      remove: () => void this.#armed.delete(armed),
    }
  }

  /** Whether a switch ends the environment now, and what then becomes of its call. */
  decide(moment: KillMoment): Disturbance | undefined {
    for (const armed of this.#armed) {
      if (armed.functionName !== moment.functionName) continue
      const decision = armed.predicate(moment)
      if (!decision) continue
      armed.kills++
      return decision === 'before-effect' ? 'lose-request' : 'lose-answer'
    }
    return undefined
  }
}
