//! The paths of the edits that one pass makes.

/// The paths of one pass: a tree of names.
pub(super) struct Way(Vec<Step>);

/// What the names so far lead to.
#[derive(Default)]
pub(super) struct Step {
    /// The next names, and where they lead.
    pub(super) next: Vec<(String, u16)>,
    /// A path ends here; the value that is set, of a pass that sets.
    pub(super) end: Option<String>,
    /// By next name: the member to add where it is missing.
    pub(super) members: Vec<String>,
}

/// Next names of one step: as many as an open object marks as found.
const NEXT: usize = u32::BITS as usize;

impl Default for Way {
    fn default() -> Self {
        Self(vec![Step::default()])
    }
}

impl Way {
    /// Its steps, the first of which is the document itself.
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether no path is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether a path can be one of this pass: none leads through the end of another.
    pub(super) fn takes(&self, path: &[String]) -> bool {
        let mut step = &self.0[0];
        for name in path {
            if step.end.is_some() {
                return false;
            }
            match step.next.iter().find(|(next, _)| next == name) {
                Some((_, next)) => step = &self.0[usize::from(*next)],
                None => return step.next.len() < NEXT && self.0.len() < 1 << 12,
            }
        }
        false
    }

    /// Adds a path.
    pub(super) fn lead(&mut self, path: &[String], value: &str) {
        let mut at = 0;
        for name in path {
            let known = self.0[at].next.iter().find(|(next, _)| next == name);
            at = match known {
                Some((_, next)) => usize::from(*next),
                None => {
                    let new = self.0.len();
                    let step = u16::try_from(new).unwrap_or(u16::MAX);
                    self.0[at].next.push((name.clone(), step));
                    self.0.push(Step::default());
                    new
                }
            };
        }
        self.0[at].end = Some(value.to_owned());
    }

    /// With the members that are added where they are missing, and the objects around them.
    pub(super) fn with_members(mut self) -> Self {
        // A step stands behind the one that leads to it.
        for at in (0..self.0.len()).rev() {
            let member = |(name, next): &(String, u16)| {
                let below = &self.0[usize::from(*next)];
                let name = serde_json::Value::from(name.as_str());
                match &below.end {
                    Some(value) => format!("{name}:{value}"),
                    None => format!("{name}:{{{}}}", below.members.join(",")),
                }
            };
            self.0[at].members = self.0[at].next.iter().map(member).collect();
        }
        self
    }
}
