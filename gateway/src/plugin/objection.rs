//! What is wrong with a plugin or its configuration, or worth knowing.

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// Where the configuration is written that the plugin does not take; `None` if it is the plugin itself.
    pub place: Option<String>,
    /// The key in it, as a dotted path; empty for the whole.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Objection {
    /// The whole message, where it is about this plugin.
    pub fn of(&self, plugin: &str) -> String {
        let mut text = String::new();
        if let Some(place) = &self.place {
            text = format!("{place}: ");
        }
        text.push_str(&format!("plugin {plugin:?}: "));
        if !self.key.is_empty() {
            text.push_str(&self.key);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        text
    }
}
