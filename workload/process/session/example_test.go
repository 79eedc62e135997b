package session_test

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"refit.dev/workload/process/session"
)

func ExampleID_End() {
	cmd := exec.Command("sleep", "60")
	id, err := session.Start(cmd)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("alive:", id.Alive())
	// Any process that knows the ID can do this, also much later.
	if err := id.End(context.Background(), time.Second); err != nil {
		fmt.Println(err)
	}
	fmt.Println("alive:", id.Alive(), cmd.Wait())
	// Output:
	// alive: true
	// alive: false signal: terminated
}
