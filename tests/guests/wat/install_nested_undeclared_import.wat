;; Hides the unknown interface one component deeper.
(component
  (import "evil:net/dial@1.0.0" (instance $dial (export "open" (func (param "port" u32) (result u32)))))
  (component $inner
    (import "evil:net/dial@1.0.0" (instance (export "open" (func (param "port" u32) (result u32))))))
  (instance (instantiate $inner (with "evil:net/dial@1.0.0" (instance $dial)))))
