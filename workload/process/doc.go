// Package process runs workloads as processes of this machine.
//
// A [Manager] starts them, one process and one record file each, ends them at
// their deadline or when asked, and reports every [workload.End] until somebody
// has taken it. What it knows is in the record files, so after a crash the next
// manager goes on with the processes of the last one: a job never runs twice at
// once and is never forgotten. A [Client] is the launcher for other processes:
// it reaches a manager through its [Handler].
//
// # Two ways to a process
//
// A process is forked from the [Warm] program, if there is one, which has the
// Python modules imported; or it is started like any program. All else is the
// same: the log, the environment, the session that the process leads, its end.
//
// # Kill points
//
// The record says queued before there is a process, starting before the process
// is started, and running, with the process's identity, afterwards. A process
// that is forked does nothing until its record says running, so its job is
// never starting. A manager that finds
//   - queued: starts the job;
//   - starting: looks for the process by the UID in its environment, adopts it,
//     or reports the job lost, since it may have run;
//   - running: adopts the process if it lives, else reports what Finished says;
//   - ended, not announced: reports the end again.
package process
