;; Grows two tables: 1,000 elements in the end.
(module
  (memory (export "memory") 1)
  (table $a 1 funcref)
  (table $b 0 funcref)
  ;; @agent
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32)
    (if (i32.lt_s (table.grow $a (ref.null func) (i32.const 499)) (i32.const 0)) (then (unreachable)))
    (if (i32.lt_s (table.grow $b (ref.null func) (i32.const 500)) (i32.const 0)) (then (unreachable)))
    (i32.const 512)))
