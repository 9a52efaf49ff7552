//! An explanation for people.

use std::fmt::{self, Display, Formatter};

use super::{Chosen, Explanation, Goes, Nearer, Normalised, Refused, Share, Taken};
use crate::message::text::Line;
use crate::route::links::{Explained, Holds};

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(request) = &self.request {
            let Normalised {
                method,
                scheme,
                host,
                path,
            } = request;
            writeln!(f, "{}", Line(&format!("{method} {scheme}://{host}{path}")))?;
        }
        let (listener, client) = (&self.listener, self.client);
        writeln!(f, "  comes to the listener `{listener}`, from {client}")?;
        if let Some(dropped) = &self.dropped {
            writeln!(f, "  {}", Line(dropped))?;
        }
        if let Some(refused) = &self.refused {
            writeln!(f, "{refused}")?;
        }
        if let Some(route) = &self.route {
            write!(f, "{route}")?;
        }
        if !self.nearer.is_empty() {
            writeln!(
                f,
                "not taken, though host and path match, the nearest first:"
            )?;
        }
        for nearer in &self.nearer {
            let Nearer {
                route,
                place,
                because,
            } = nearer;
            writeln!(f, "  {route} ({place}): {}", Line(because))?;
        }
        Ok(())
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "refused with {}: {}", self.status, Line(&self.reason))
    }
}

impl Display for Chosen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "route {} ({})", self.name, self.place)?;
        for (name, value) in &self.parameters {
            writeln!(f, "  {{{name}}} is {value:?}")?;
        }
        if let Some(Taken { name, because }) = &self.arm {
            writeln!(f, "arm {name}, since {because}")?;
        }
        if !self.chain.is_empty() {
            writeln!(f, "chain")?;
        }
        for (link, number) in self.chain.iter().zip(1..) {
            let Explained {
                plugin,
                config,
                place,
                when,
            } = link;
            writeln!(f, "  {number}. {plugin} ({place})")?;
            writeln!(f, "     config {config}")?;
            if let Some((written, holds)) = when {
                let holds = match holds {
                    Holds::Yes => "holds",
                    Holds::No => "does not hold: it is left out",
                    Holds::Undecided => "is decided by what the plugins before it leave",
                };
                writeln!(f, "     when {}: {holds}", Line(written))?;
            }
        }
        write!(f, "{}", self.target)
    }
}

impl Display for Goes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream {
                upstream,
                endpoints,
                request,
                behaves,
                copies,
            } => {
                let endpoints = endpoints.join(", ");
                writeln!(f, "upstream {upstream} ({endpoints})")?;
                let mut lines = request.iter();
                lines.try_for_each(|line| writeln!(f, "  {}", Line(line)))?;
                write!(f, "{behaves}")?;
                copies.iter().try_for_each(|copies| write!(f, "{copies}"))
            }
            Self::Turns(arms) => {
                let all: u64 = arms.iter().map(|arm| u64::from(arm.weight)).sum();
                for arm in arms {
                    let Share {
                        name,
                        weight,
                        target,
                    } = arm;
                    writeln!(f, "arm {name}, {weight} of {all} in turn")?;
                    write!(f, "{target}")?;
                }
                Ok(())
            }
            Self::Answer { by, status, fields } => {
                writeln!(f, "answer {status}, by `{by}`")?;
                let mut lines = fields.iter();
                lines.try_for_each(|line| writeln!(f, "  {}", Line(line)))
            }
            Self::Plugins => writeln!(f, "no upstream: 404 unless a plugin answers"),
            Self::Refused(refused) => writeln!(f, "{refused}"),
        }
    }
}
