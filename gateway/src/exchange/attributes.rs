//! Facts that plugins leave on an exchange, by name: found by halving, and bounded, since a plugin chooses how many.

/// Facts of one exchange.
const FACTS: usize = 256;
/// Bytes of all their names and values.
const BYTES: usize = 256 << 10;

/// Facts that plugins left, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    facts: Vec<(Box<str>, Box<str>)>,
    bytes: usize,
}

/// There are as many facts as may be, or as many bytes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Attributes {
    /// The value of a fact.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.place(name).ok()?;
        Some(&self.facts[at].1)
    }

    /// Leaves a fact in the place of one of its name.
    ///
    /// # Errors
    /// If there are too many, or too many bytes of them. The one in its place stays.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Full> {
        let place = self.place(name);
        let (before, after) = match place {
            Ok(at) => (self.facts[at].1.len(), value.len()),
            Err(_) if self.facts.len() >= FACTS => return Err(Full),
            Err(_) => (0, name.len() + value.len()),
        };
        let bytes = self.bytes - before + after;
        if bytes > BYTES {
            return Err(Full);
        }
        self.bytes = bytes;
        match place {
            Ok(at) if *self.facts[at].1 == *value => {}
            Ok(at) => self.facts[at].1 = value.into(),
            Err(at) => self.facts.insert(at, (name.into(), value.into())),
        }
        Ok(())
    }

    /// All of them.
    pub fn all(&self) -> &[(Box<str>, Box<str>)] {
        &self.facts
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.facts
            .binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_takes_the_place_of_one_of_its_name_and_all_are_found() {
        let mut attributes = Attributes::default();
        for (name, value) in [("b", "1"), ("a", "2"), ("c", "3"), ("b", "4")] {
            attributes.set(name, value).unwrap();
        }
        let found = ["a", "b", "c", "d"].map(|name| attributes.get(name));
        assert_eq!(found, [Some("2"), Some("4"), Some("3"), None]);
        let names: Vec<_> = attributes.all().iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn there_are_no_more_facts_and_bytes_of_them_than_may_be() {
        let mut many = Attributes::default();
        let set = |many: &mut Attributes, number: usize| many.set(&number.to_string(), "x");
        let left = (0..2 * FACTS).filter(|number| set(&mut many, *number).is_ok());
        assert_eq!(left.count(), FACTS);
        assert_eq!(many.set("7", "another"), Ok(()));
        let mut large = Attributes::default();
        let half = "a".repeat(BYTES / 2);
        assert_eq!(large.set("a", &half), Ok(()));
        assert_eq!(large.set("b", &half), Err(Full));
        assert_eq!(large.set("b", &half[2..]), Ok(()));
        assert_eq!(large.set("b", &half[1..]), Err(Full));
        assert_eq!(large.get("b"), Some(&half[2..]));
        // What is replaced gives its room back.
        assert_eq!(large.set("a", ""), Ok(()));
        assert_eq!(large.set("c", &half[1..]), Ok(()));
    }
}
