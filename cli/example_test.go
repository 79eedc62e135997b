package cli_test

import (
	"context"
	"fmt"
	"os"

	"refit.dev/cli"
)

func ExampleExecute() {
	code := cli.Execute(context.Background(), cli.App{Out: os.Stdout, Err: os.Stdout}, []string{"runs", "--state", "done"})
	fmt.Println(code == cli.CodeUsage)
	// Output:
	// refit: --state "done": accepted are [running registered rejected failed cancelled]
	// true
}
