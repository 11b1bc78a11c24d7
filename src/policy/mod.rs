//! The rights that a run and the readers of an export need, and the policies that grant them. The module
//! does no I/O.
//!
//! ```text
//! Grant (bucket, prefix, principal) ─statement→ Statement ─render→ JSON | Terraform | CloudFormation
//! ```
//! Each statement is built in one place; `check` quotes the one that is missing.

mod action;
mod denial;
mod grant;
mod principal;
mod reading;
mod render;
mod statement;

pub(crate) use action::IamAction;
pub(crate) use denial::denied_action;
pub(crate) use grant::{Grant, GrantPurpose};
pub(crate) use principal::Principal;
pub(crate) use render::{PolicyDocument, PolicyFormat, render};
pub(crate) use statement::Statement;
