//! What a route says of paths that some servers read differently.

/// Why a path does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub(super) &'static str);

impl Unfit {
    /// The reason as text.
    pub fn reason(self) -> &'static str {
        self.0
    }
}

/// Why a path with an escaped slash is refused.
pub(super) const ENCODED_SLASH: Unfit = Unfit("the path has %2F");

/// Why a path with a parameter is refused.
pub(super) const PARAMETER: Unfit = Unfit("the path has a parameter, behind `;` or `%3B`");

/// What becomes of a slash that is escaped, `%2F`: part of a name to some servers, and to others the end of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EncodedSlashes {
    /// A path that has one is refused.
    #[default]
    Refuse,
    /// It stays as it is, inside one segment.
    Keep,
}

/// What becomes of a semicolon, escaped or not, with which the parameters of a segment begin (RFC 3986, section 3.3):
/// part of a name to some servers, while others cut them off before they look for a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathParameters {
    /// A path that has one is refused.
    #[default]
    Refuse,
    /// It stays as it is, part of its segment.
    Keep,
}

/// What a route keeps in its paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathRules {
    /// `encoded_slashes`.
    pub slashes: EncodedSlashes,
    /// `path_parameters`.
    pub parameters: PathParameters,
}

/// What came in a path, and not every route keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Special {
    /// An escaped slash.
    pub slash: bool,
    /// A parameter.
    pub parameter: bool,
}

impl Special {
    /// Whether there is anything that a route has to keep.
    #[inline]
    pub fn is_any(self) -> bool {
        self.slash || self.parameter
    }

    /// The rules of a route that takes this, and no more.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn rules(self) -> PathRules {
        let mut rules = PathRules::default();
        if self.slash {
            rules.slashes = EncodedSlashes::Keep;
        }
        if self.parameter {
            rules.parameters = PathParameters::Keep;
        }
        rules
    }
}

impl PathRules {
    /// Whether a route takes a path in which that came.
    ///
    /// # Errors
    /// What the route does not keep.
    pub fn take(self, special: Special) -> Result<(), Unfit> {
        if special.slash && self.slashes == EncodedSlashes::Refuse {
            return Err(ENCODED_SLASH);
        }
        if special.parameter && self.parameters == PathParameters::Refuse {
            return Err(PARAMETER);
        }
        Ok(())
    }
}
