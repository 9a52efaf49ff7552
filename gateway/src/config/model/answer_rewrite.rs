//! `routes.rewrite`: what changes of an upstream's answer.

/// What changes of an upstream's answer, so that it speaks of places as the client sees them.
#[derive(Debug, Clone, Default)]
pub struct AnswerRewrite {
    /// `location = "public"`.
    pub location: bool,
    /// `cookies`.
    pub cookies: Option<CookieRewrite>,
}

/// `routes.rewrite.cookies`.
#[derive(Debug, Clone, Default)]
pub struct CookieRewrite {
    /// What becomes of a Domain.
    pub domain: Option<CookieDomain>,
    /// What becomes of a Path.
    pub path: Option<String>,
    /// Whether each has `Secure`.
    pub secure: bool,
}

/// What becomes of a cookie's Domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CookieDomain {
    /// It goes: the cookie is the host's alone.
    None,
    /// It is this one.
    Name(String),
}
