//! What comes of a reload.

use crate::snapshot::Reason;

/// What a reload did.
#[derive(Debug, Clone)]
pub(super) struct Done {
    /// The version now in force.
    pub(super) version: u64,
    /// Milliseconds from the request to the publication.
    pub(super) milliseconds: u64,
    /// Plugins that are another version, or have other settings, than before.
    pub(super) plugins: Vec<String>,
    /// Warnings for the operator, and the keys that wait for a restart.
    pub(super) warnings: Vec<String>,
}

/// Why nothing changed: every reason.
pub(super) type Reasons = Vec<Reason>;

/// What came of a reload.
pub(super) type Outcome = Result<Done, Reasons>;
