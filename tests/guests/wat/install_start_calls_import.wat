;; Calls a capability while it is being instantiated, before `run` or `describe`.
(module
  (import "bailiwick:crm/customers@0.1.0" "get" (func $get (param i32 i32 i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "C-2000")
  (func (export "_initialize") (call $get (i32.const 16) (i32.const 6) (i32.const 64)))
  ;; @agent wants=crm/customers.get
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32) (i32.const 512)))
