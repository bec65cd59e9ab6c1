;; Declares sockets as never used and uses them: at the first attempt a function that can say no, later one that cannot.
(module
  (import "wasi:sockets/tcp-create-socket@0.2.6" "create-tcp-socket" (func $create (param i32 i32)))
  (import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))
  (memory (export "memory") 1)
  ;; @agent stubs=wasi:sockets/tcp-create-socket,wasi:sockets/instance-network
  (func (export "bailiwick:agent/handler@0.1.0#run") (param i32 i32 i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i64) (result i32)
    (if (i32.gt_u (local.get $attempt) (i32.const 1)) (then (drop (call $network))))
    (call $create (i32.const 0) (i32.const 256))
    ;; An error, and `access-denied`, the second of its cases.
    (if (i32.ne (i32.load8_u (i32.const 256)) (i32.const 1)) (then (unreachable)))
    (if (i32.ne (i32.load8_u (i32.const 260)) (i32.const 1)) (then (unreachable)))
    (i32.const 512)))
