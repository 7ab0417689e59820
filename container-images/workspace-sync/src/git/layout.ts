import path from 'node:path'
import { TEAM_FILES } from '../../../../shared/contracts/link.ts'

/** Where things are below a team's root. Everything in `sync` is out of the agents' reach and on the same file system as their tree. */
export type Layout = ReturnType<typeof layoutOf>

export function layoutOf(root: string) {
  const sync = path.join(root, TEAM_FILES.sync)
  return {
    root,
    /** The agents' mount; they can rename and replace everything in it. */
    shared: path.join(root, TEAM_FILES.shared),
    /** Name of the working tree in `shared`. */
    workspaceName: Buffer.from(path.basename(TEAM_FILES.workspace)),
    workspace: path.join(root, TEAM_FILES.workspace),
    sync,
    lock: path.join(sync, 'lock'),
    state: path.join(sync, 'state.json'),
    repository: path.join(sync, 'repository.git'),
    /** Being made; removed and begun anew after a kill. */
    newRepository: path.join(sync, 'repository.new'),
    newWorkspace: path.join(sync, 'workspace.new'),
    /** git's index of the working tree. */
    index: path.join(sync, 'index'),
    /** Made for one step and removed with it. */
    scratch: path.join(sync, 'scratch'),
    /** Files that stand under a second name as locks in the agents' repository while it is brought up to date. */
    agentLocks: path.join(sync, 'agent-locks'),
    /** What the working tree held before a merge was applied, until nobody can be writing to it any more. */
    replaced: path.join(sync, 'replaced'),
    /** What could not be used and is kept for a person. */
    setAside: path.join(sync, 'set-aside'),
  } as const
}
