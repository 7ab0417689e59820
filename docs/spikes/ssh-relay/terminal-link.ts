/** An agent's terminal at the existing server, as the control plane sees any agent's: the containers' link, unchanged. */
import { InputOrder } from '../../../container-images/agent/src/input-order.ts'
import { OutputBuffer } from '../../../container-images/agent/src/output-buffer.ts'
import { OutputSender } from '../../../container-images/agent/src/output-sender.ts'
import { TIMINGS } from '../../../container-images/agent/src/timings.ts'
import { LinkClient } from '../../../container-images/common/src/link-client.ts'
import { LinkCredential } from '../../../container-images/common/src/link-credential.ts'
import type { RunningAgent, TerminalLink } from './ssh-bridge.ts'

/** Agents there have one generation: the existing server cannot restart one. */
const GENERATION = 1

/** Pieces of output held before the first welcome. */
const MAX_EARLY = 1_000
const LEFT_OUT = '\r\n[output left out: it came faster than it could be stored]\r\n'

/** @param url The WebSocket API. */
export function openTerminalLink(
  url: string,
  { teamId, id }: RunningAgent,
  onInput: (data: string) => void,
): TerminalLink {
  const credential = new LinkCredential(`${teamId}/${id}/${GENERATION}`, 'not-used')
  // The bridge shows a key of its own from the first connect on.
  credential.accepted()
  const buffer = new OutputBuffer()
  const order = new InputOrder(onInput, { windowMs: TIMINGS.inputWindowMs })
  let early: string[] | undefined = []
  let isLeavingOut = false

  const link: LinkClient<'welcome'> = new LinkClient(
    url,
    credential,
    'welcome',
    {
      welcome({ acknowledged }) {
        if (early) {
          // A bridge that has been restarted goes on where the one before it has stopped.
          buffer.startAt(acknowledged)
          for (const data of early) buffer.push(Buffer.from(data))
          early = undefined
        }
        sender.connected(acknowledged)
      },
      order(message) {
        if (message.type === 'ack') sender.acknowledged(message.offset)
        if (message.type === 'input') order.accept(message)
        if (message.type === 'dismissed') close()
      },
      lost: () => sender.disconnected(),
      refused: () => close(),
    },
    TIMINGS,
  )
  const sender: OutputSender = new OutputSender(
    buffer,
    { send: (message) => link.send(message), stalled: (why) => link.reopen(why), progressed: () => link.healthy() },
    TIMINGS.ackMs,
  )
  function close(): void {
    order.close()
    sender.disconnected()
    void link.close()
  }
  link.open()
  return {
    write(data) {
      // The existing server cannot be paused, so what does not fit is left out, and the terminal says where.
      const hasRoom = early ? early.length < MAX_EARLY : isLeavingOut ? buffer.roomy : !buffer.full
      const text = hasRoom && isLeavingOut ? LEFT_OUT + data : data
      isLeavingOut = !hasRoom
      if (!hasRoom) return
      if (early) early.push(text)
      else buffer.push(Buffer.from(text))
      sender.flush()
    },
    end() {
      const gaveUp = setTimeout(close, TIMINGS.drainMs)
      void sender.drained().then(() => {
        clearTimeout(gaveUp)
        close()
      })
    },
    close,
  }
}
