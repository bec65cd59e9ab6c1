//! Capability calls as plain functions: one line an operation, the rest is written by the macro.

/// Writes the modules of capabilities. For each operation: a type that names it, its owned arguments, and the function.
macro_rules! capabilities {
    ($(
        $(#[$package_doc:meta])*
        $package:ident {$(
            $(#[$interface_doc:meta])*
            $interface:ident uses { $($type:ident),* } {$(
                $(#[$doc:meta])*
                $operation:ident $args:ident $name:literal
                fn $function:ident($($arg:ident: $borrowed:ty => $owned:ty),*) -> $output:ty;
            )*}
        )*}
    )*) => {
        /// Every operation that the SDK has a function for, in the form of workflow files.
        pub const OPERATIONS: &[&str] = &[$($($($name),*),*),*];

        $(
            $(#[$package_doc])*
            pub mod $package {$(
                $(#[$interface_doc])*
                pub mod $interface {
                    use crate::{CallProblem, Operation};
                    #[cfg(target_arch = "wasm32")]
                    use crate::bindings::bailiwick::$package::$interface as wit;
                    $(pub use crate::bindings::bailiwick::$package::$interface::$type;)*

                    $(
                        #[doc = concat!("The operation `", $name, "`, to name it in tests.")]
                        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
                        pub struct $operation;

                        #[doc = concat!("The arguments of `", $name, "`.")]
                        #[derive(Debug, Clone, PartialEq)]
                        pub struct $args {
                            $(
                                #[doc = concat!("The argument `", stringify!($arg), "`.")]
                                pub $arg: $owned,
                            )*
                        }

                        impl Operation for $operation {
                            const NAME: &'static str = $name;
                            type Args = $args;
                            type Output = $output;
                        }

                        $(#[$doc])*
                        ///
                        /// # Errors
                        /// When the call is denied or fails; the table in [`crate::call`] says what `?` makes of it.
                        pub fn $function($($arg: $borrowed),*) -> Result<$output, CallProblem> {
                            #[cfg(target_arch = "wasm32")]
                            let result = wit::$function($($arg),*);
                            #[cfg(not(target_arch = "wasm32"))]
                            let result = crate::fake::call::<$operation>($args { $($arg: $arg.to_owned()),* });
                            result.map_err(|cause| CallProblem { operation: $name, cause })
                        }
                    )*
                }
            )*}
        )*
    };
}

capabilities! {
    /// Customers and what is known about them.
    crm {
        /// Customer records.
        customers uses { Customer } {
            /// Reads one customer.
            Get GetArgs "crm/customers.get" fn get(id: &str => String) -> Customer;
        }
        /// Notes on a customer's file.
        notes uses {} {
            /// Appends a note and gives its id.
            Append AppendArgs "crm/notes.append" fn append(customer: &str => String, text: &str => String) -> String;
            /// Marks a note as void. It stays readable.
            Void VoidArgs "crm/notes.void" fn void(customer: &str => String, note: &str => String) -> ();
        }
    }
    /// Orders and what was bought.
    orders {
        /// Order records.
        orders uses { Order, Line, Status } {
            /// Reads one order.
            Get GetArgs "orders/orders.get" fn get(id: &str => String) -> Order;
        }
    }
    /// Decision tables: business rules that are data, not code.
    rules {
        /// Evaluation of decision tables.
        tables uses { Value, Fact, Decision } {
            /// Evaluates a ruleset over facts.
            Evaluate EvaluateArgs "rules/tables.evaluate" fn evaluate(ruleset: &str => String, facts: &[Fact] => Vec<Fact>) -> Decision;
        }
    }
    /// Parcels and their labels.
    shipping {
        /// Parcels.
        parcels uses { Label } {
            /// Makes a return label for an order, from the sender's address to the returns warehouse.
            CreateLabel CreateLabelArgs "shipping/parcels.create-label"
            fn create_label(order: &str => String, sender: &crate::Address => crate::Address, weight_grams: u32 => u32) -> Label;
            /// Voids a label before the parcel is handed over.
            VoidLabel VoidLabelArgs "shipping/parcels.void-label" fn void_label(order: &str => String, tracking: &str => String) -> ();
        }
    }
    /// Service tickets.
    ticketing {
        /// Tickets.
        tickets uses { Ticket, Kind, Status } {
            /// Opens a ticket.
            Create CreateArgs "ticketing/tickets.create"
            fn create(customer: &str => String, kind: Kind => Kind, status: Status => Status, subject: &str => String, body: &str => String) -> Ticket;
            /// Closes a ticket as cancelled.
            Cancel CancelArgs "ticketing/tickets.cancel" fn cancel(customer: &str => String, id: &str => String) -> ();
        }
    }
    /// The financial side of orders.
    billing {
        /// What an order's account says.
        accounts uses { ReturnStatus, Change } {
            /// Sets the return status of an order, if its version is still the given one. An empty version means: whatever it is now.
            SetReturnStatus SetReturnStatusArgs "billing/accounts.set-return-status"
            fn set_return_status(order: &str => String, status: ReturnStatus => ReturnStatus, if_version: &str => String) -> Change;
        }
    }
    /// Messages to people.
    notify {
        /// Messages.
        messages uses { Channel } {
            /// Sends a message to a customer and gives its id. The host looks up where the customer receives mail.
            Send SendArgs "notify/messages.send"
            fn send(customer: &str => String, channel: Channel => Channel, subject: &str => String, body: &str => String) -> String;
        }
    }
    /// Passing work on to other agents, within what the calling task holds itself.
    delegate {
        /// Tasks that a task starts. They are over when it is.
        tasks uses { Answer, Fixed, Outcome, Part, Value } {
            /// Starts a task of another agent and gives its id. `input` is JSON text.
            Start StartArgs "delegate/tasks.start"
            fn start(agent: &str => String, input: &str => String, parts: &[Part] => Vec<Part>, fuel: Option<u64> => Option<u64>, deadline_ms: Option<u32> => Option<u32>) -> String;
            /// Waits until a task is over and gives its outcome, once.
            Await AwaitArgs "delegate/tasks.await" fn await_(task: &str => String) -> Outcome;
            /// Ends a task, with every task that it has started.
            Cancel CancelArgs "delegate/tasks.cancel" fn cancel(task: &str => String) -> ();
        }
    }
    /// Requests to web servers.
    web {
        /// HTTP, one request at a time. `Url::https` makes addresses.
        http uses { Scheme, Field, Url, SafeMethod, Method, Body, Response } {
            /// Reads something. Redirects are not followed, and an error of the server is an answer too: look at the status.
            Fetch FetchArgs "web/http.fetch" fn fetch(method: SafeMethod => SafeMethod, url: &Url => Url, headers: &[Field] => Vec<Field>) -> Response;
            /// Sends something. It cannot be taken back; an error of the server is an answer too: look at the status.
            Send SendArgs "web/http.send"
            fn send(method: Method => Method, url: &Url => Url, headers: &[Field] => Vec<Field>, body: &Body => Body) -> Response;
        }
    }
}
