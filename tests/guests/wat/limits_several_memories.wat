;; Grows four memories, so that each alone is far below the limit: 50 pages of 64 KiB in the end.
(module
  (memory (export "memory") 2)
  (memory $b 0)
  (memory $c 0)
  (memory $d 0)
  ;; @agent
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32)
    (if (i32.lt_s (memory.grow $b (i32.const 16)) (i32.const 0)) (then (unreachable)))
    (if (i32.lt_s (memory.grow $c (i32.const 16)) (i32.const 0)) (then (unreachable)))
    (if (i32.lt_s (memory.grow $d (i32.const 16)) (i32.const 0)) (then (unreachable)))
    (i32.const 512)))
