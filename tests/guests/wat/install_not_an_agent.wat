;; A component that is well and no agent.
(component)
