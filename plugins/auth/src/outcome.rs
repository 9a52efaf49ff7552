//! What every scheme answers with, whichever credential it looks at.

use std::rc::Rc;

/// Who asks, in the form in which it is told.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) subject: Option<String>,
    /// Names (with `auth.claims.`) and values.
    pub(crate) attributes: Vec<(String, String)>,
    /// Request fields and their values.
    pub(crate) headers: Vec<(String, String)>,
}

/// What one scheme says of a request.
pub(crate) enum Outcome {
    /// It carries no credential of this scheme.
    Absent,
    /// It carries one that is not valid; the text may be shown to the client.
    Invalid(&'static str),
    /// The credential is valid, but a required claim is not there.
    Insufficient,
    Admitted {
        identity: Rc<Identity>,
        /// The value of the field that was checked.
        credential: Vec<u8>,
    },
}
