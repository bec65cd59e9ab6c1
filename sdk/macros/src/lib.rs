//! The attribute macro of `bailiwick-sdk`. Use it through that crate, which re-exports it.

mod about;
mod expand;

use proc_macro::TokenStream;

/// Makes an agent of a function.
///
/// The function takes a `Task<Input>` and gives a `Result<Answer<Output>, Failure>`. `Input` is `Deserialize + JsonSchema`, `Output` is
/// `Serialize + JsonSchema`.
///
/// ```text
/// /// Checks that a customer is who they say they are.
/// #[agent(owner = "team@example", data-level = "personal", risk-class = "low", wants = ["crm/customers.get"])]
/// fn identity_verifier(task: Task<Input>) -> Result<Answer<Output>, Failure> { … }
/// ```
///
/// | key | what it says | where it is left out |
/// |---|---|---|
/// | `owner` | who answers for the agent: a team or a mail address | an error |
/// | `purpose` | what the agent is for, in one sentence | the first paragraph of the function's doc comment; an error without one |
/// | `name` | lower case with dashes | the name of the package |
/// | `version` | semantic version | the version of the package |
/// | `data-level` | the highest class of data that the agent is meant to see: `public`, `internal`, `personal`, `secret` | `public` |
/// | `risk-class` | how much harm a wrong answer does: `low`, `medium`, `high` | `high` |
/// | `review-by` | when the agent is to be reviewed next, as `YYYY-MM-DD` | empty |
/// | `wants` | the operations that the agent calls | none |
/// | `stubs` | WASI interfaces that the toolchain imports and the agent never uses | none |
///
/// Beside the function the macro writes a type of the same name that implements `bailiwick_sdk::Agent`, so that a test can look at the
/// manifest: `<identity_verifier as Agent>::describe()`. Built for wasm it exports the two functions of the agent world; so a crate has one
/// agent.
#[proc_macro_attribute]
pub fn agent(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::agent(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
