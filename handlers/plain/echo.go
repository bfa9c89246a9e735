// build: go build -o echo handlers/plain/echo.go
//
// Go. data -> data; {"fail": message} -> an error
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
)

// object: a struct would take "DATA" for "data"; what is not looked into keeps its text
type object map[string]json.RawMessage

func main() {
	input := bufio.NewReader(os.Stdin) // a Scanner would end at 64 KiB
	for {
		line, err := input.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		var job, asked object
		if err := json.Unmarshal(line, &job); err != nil {
			log.Fatal(err)
		}
		data := job["data"]
		if json.Unmarshal(data, &asked) == nil && asked["fail"] != nil {
			fmt.Printf(`{"status":"error","error":{"type":"Asked","message":%s}}`+"\n", asked["fail"])
		} else {
			fmt.Printf(`{"status":"ok","result":%s}`+"\n", data)
		}
	}
}
