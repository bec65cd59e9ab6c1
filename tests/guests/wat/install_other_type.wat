;; Imports an operation by its right name with another type, which would not fit what the grant checks.
(component
  (import "bailiwick:crm/customers@0.1.0" (instance (export "get" (func (param "id" u32) (result u32))))))
