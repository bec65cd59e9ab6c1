;; Imports an interface that no project knows. Its start function traps, so that the error shows whether any of it ran.
(module
  (import "evil:net/dial@1.0.0" "open" (func $open (param i32) (result i32)))
  (memory (export "memory") 1)
  (func $start (drop (call $open (i32.const 22))) (unreachable))
  (start $start)
  ;; @agent
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32) (i32.const 512)))
