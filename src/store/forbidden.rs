//! Recognizes errors by which a store refuses the caller.

use object_store::Error as StoreError;

use crate::error::Error;
use crate::policy::{IamAction, denied_action};

/// Returns true if the store refused these credentials, rather than failed.
pub(crate) fn is_forbidden(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let by_store = matches!(
            error.downcast_ref::<StoreError>(),
            Some(StoreError::PermissionDenied { .. })
        );
        let by_system = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        if by_store || by_system {
            return true;
        }
        cause = error.source();
    }
    // The client has no error of its own for a listing that is refused.
    denied_action(&error.chain(), IamAction::ListBucket).is_some()
}
