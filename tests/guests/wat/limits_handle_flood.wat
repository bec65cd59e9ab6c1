;; Takes handles of host resources and gives none back, as many as the number of the attempt says.
(module
  (import "wasi:cli/stdout@0.2.6" "get-stdout" (func $stdout (result i32)))
  (memory (export "memory") 1)
  ;; @agent
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32)
    (loop $again
      (drop (call $stdout))
      (local.tee $attempt (i32.sub (local.get $attempt) (i32.const 1)))
      (br_if $again))
    (i32.const 512)))
