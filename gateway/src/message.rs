//! What proxy, plugin host and upstream client all speak of: heads, fields, bodies and phases; and how the text of
//! others is shown.

pub mod body;
pub mod coding;
pub mod cookies;
pub mod depth;
pub mod ending;
pub mod error;
pub mod fields;
pub mod flaws;
pub mod head;
pub mod headers;
pub mod host;
pub mod interim;
pub mod media;
pub mod names;
pub mod path;
pub mod peer;
pub mod phase;
pub mod query;
pub mod target;
pub mod text;
pub mod upgrade;
pub mod version;
pub mod via;
