;; Exports the handler with functions of other types.
(component
  (core module $m (func (export "run")) (func (export "describe")))
  (core instance $i (instantiate $m))
  (func $run (canon lift (core func $i "run")))
  (func $describe (canon lift (core func $i "describe")))
  (instance $handler (export "run" (func $run)) (export "describe" (func $describe)))
  (export "bailiwick:agent/handler@0.1.0" (instance $handler)))
