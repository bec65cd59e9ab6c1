;; Imports sockets and does not say so.
(module
  (import "wasi:sockets/tcp-create-socket@0.2.6" "create-tcp-socket" (func $create (param i32 i32)))
  (memory (export "memory") 1)
  ;; @agent
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32) (call $create (i32.const 0) (i32.const 256)) (i32.const 512)))
