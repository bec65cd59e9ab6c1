;; Imports a package that the project knows, in a version that it does not know.
(module
  (import "bailiwick:crm/customers@9.0.0" "get" (func $get (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; @agent wants=crm/customers.get
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32) (drop (call $get (i32.const 0) (i32.const 0))) (i32.const 512)))
