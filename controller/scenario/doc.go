// Package scenario holds conversations with the core: text files in
// testdata/reconcile and testdata/fold that build a log event by event, fold
// it, reconcile, and show what was decided and why.
//
// A block is one of the words given, when or then, lines of commands, a rule
// "----" and what they print. The three words mean the same to the machine. A
// subtest begins with an empty log. Regenerate with
//
//	go test ./controller/scenario -rewrite
//
// and read the diff. Whatever a conversation is about, after every event the
// state's own Check must hold, a DaemonSet that was not woken must still get
// the decision that it got before, and one whose decision changes with time
// must have asked for that. After every command, folding the log from its start
// must give the same decisions, and at the end every plan is decided again.
//
// Time stands still except for the command time. Commands:
//
//	time +10s                     let time pass (nothing is appended)
//	node n1 n2 n001..n100 [labels=k=v,..] [taints=key[=v]:Effect,..] [ready=false] [cordon=true]
//	node delete|anew n1 ..        anew: the same name with another uid, with no deletion told
//	ds NAME [option=value ..]     create, or change what is named: image strategy maxUnavailable
//	                              maxSurge block minReady history selector labels nodeName nodeSelector
//	                              affinity tolerations hostNetwork hostPort annotate finalizers condition
//	                              templateAnnotate templateFinalizers; anew=true: with another uid
//	ds delete NAME [cascade=background|foreground|orphan]
//	pod add NAME [ds=D] [node=N] [pin=N|pins=N,M|!N] [rev=A] [owner=none|D|other] [labels=..] [phase=..] [ready=true] [age=10s] [deleting=true]
//	pod POD .. ready|unready|fail|succeed|terminate|gone|disown|touch
//	pod POD .. [labels=..] [rev=A] [owner=D] [finalizers=..] [readySince=-1h]
//	revision add NAME [ds=D] [owner=none|D|dead] [image=..] [number=1] [hash=..]
//	revision delete|disown|label|show REVISION [labels=..]
//	reconcile NAME                show the decision, append nothing
//	sync NAME ..                  reconcile and append until there is nothing more to append
//	step NAME                     the same once
//	execute [refuse=all|n1,..] [quota=N] [only=n1,..] [bind=false]   answer commands under way
//	kubelet [only=n1,..] [gone]   bind, end and make ready what is on nodes; images named bad* never
//	                              get ready, those named fail* fail
//	run [rounds] [step=1s]        sync all, execute and kubelet until nothing happens
//	decide NAME as=X, append X    keep a decision and append it later, as another controller would
//	status|conditions|cells|counts|revisions|pods NAME, quarantine, woken, log,
//	notices                       print what the fold or projector/story makes of the log
//	object [delete|gone] KIND NAME [owner=[GROUP:]KIND/NAME[!][@UID],..] [finalizers=..] [node=N] [cascade=..]
//	                              make, change or delete an object; "!" blocks the owner's deletion
//	collect                       decide about what was left behind, print and append it; execute does it
//	objects                       print every object but nodes
//	garbage                       append bytes that are no event
//
// Pods that a command creates are called by their node and a letter in the
// order in which they came (n1a, n1b), revisions A, B, .. in the order in which
// they came. POD may also be a node, for all that is there, or all.
package scenario
