//! The rights that a run needs, as the policies that grant them. Pure.
//!
//! ```text
//! Grant (bucket, prefix, principal) ─statement→ Statement ─document→ JSON | Terraform | CloudFormation
//! ```
//! Each statement exists once; `check` quotes the one that is missing.

mod action;
mod forms;
mod grant;
mod statement;

pub use action::Action;
pub use forms::{Form, Part, print};
pub use grant::{Grant, Principal};
pub use statement::Statement;
