;; Asks for random bytes: as many as the number of the attempt says, once; at the first attempt 64 KiB without end.
(module
  (import "wasi:random/random@0.2.6" "get-random-bytes" (func $random (param i64 i32)))
  (memory (export "memory") 4)
  ;; @agent
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32)
    (if (i32.gt_u (local.get $attempt) (i32.const 1)) (then
      (call $random (i64.extend_i32_u (local.get $attempt)) (i32.const 256))
      (return (i32.const 512))))
    (loop $again
      (global.set $free (i32.const 32768))
      (call $random (i64.const 65536) (i32.const 256))
      (br $again))
    (unreachable)))
