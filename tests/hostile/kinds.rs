//! Every way to misbehave, and what each comes to.

/// One way to misbehave.
pub(super) struct Kind {
    pub(super) act: &'static str,
    /// Lines of the plugin's table.
    pub(super) plugin: &'static str,
    /// What each round comes to: the phase and the kind of the failure, if it is one.
    pub(super) failure: Option<(&'static str, &'static str)>,
    /// What the client gets.
    pub(super) client: Client,
}

#[derive(Clone, Copy)]
pub(super) enum Client {
    /// An answer of that status, whole.
    Status(u16),
    /// A message that does not end.
    Broken,
}

/// An act that ends in a failure of the request phase, for which the client gets 500.
const fn fails(act: &'static str, kind: &'static str) -> Kind {
    Kind {
        act,
        plugin: "cpu = \"20ms\"",
        failure: Some(("request", kind)),
        client: Client::Status(500),
    }
}

/// An act that computes for as long as it may.
const fn loops(act: &'static str) -> Kind {
    Kind {
        plugin: "cpu = \"2ms\"",
        ..fails(act, "cpu")
    }
}

/// A trap in a phase.
const fn traps_in(act: &'static str, phase: &'static str, client: Client) -> Kind {
    Kind {
        failure: Some((phase, "trap")),
        client,
        ..fails(act, "trap")
    }
}

/// An act of which nothing comes.
const fn harmless(act: &'static str) -> Kind {
    Kind {
        act,
        plugin: "",
        failure: None,
        client: Client::Status(200),
    }
}

pub(super) fn all() -> impl Iterator<Item = &'static Kind> {
    [
        PROCESSOR_TIME_AND_HOST_CALLS,
        WALL_TIME,
        MEMORY_TABLES_AND_STACK,
        TRAPS,
        HANDED_OVER,
        DENIED,
        FLOODS,
    ]
    .into_iter()
    .flatten()
}

const MANY_CALLS: &str = "cpu = \"200ms\"";

pub(super) const PROCESSOR_TIME_AND_HOST_CALLS: &[Kind] = &[
    loops("loop"),
    loops("loop-calling"),
    loops("loop-denied"),
    loops("loop-editing"),
    loops("name-flood"),
    Kind {
        plugin: MANY_CALLS,
        ..fails("million-calls", "host_calls")
    },
    Kind {
        plugin: MANY_CALLS,
        ..fails("log-flood", "host_calls")
    },
];

pub(super) const WALL_TIME: &[Kind] = &[Kind {
    plugin: "timeout = \"20ms\"",
    ..fails("sleep", "timeout")
}];

pub(super) const MEMORY_TABLES_AND_STACK: &[Kind] = &[
    Kind {
        plugin: "memory = \"3MiB\"\ncpu = \"20ms\"",
        ..fails("memory", "memory")
    },
    fails("table", "memory"),
    fails("stack", "stack_overflow"),
    // A compiler keeps a stack of its own in memory, which is used up first.
    fails("recursion", "trap"),
];

pub(super) const TRAPS: &[Kind] = &[
    fails("panic", "trap"),
    fails("panic-in-later-configure", "trap"),
    traps_in("panic-in-response", "response", Client::Status(500)),
    traps_in(
        "panic-in-request-chunk",
        "request_chunk",
        Client::Status(500),
    ),
    traps_in("panic-in-response-chunk", "response_chunk", Client::Broken),
    traps_in("panic-in-complete", "complete", Client::Status(200)),
    // An instance ends as a whole, with its memory: no destructor of the guest has a turn that it could misuse.
    Kind {
        plugin: "instances = { recycle_after = 1 }",
        ..harmless("panic-in-drop")
    },
];

const SMALL_BODIES: &str = "body_limit = \"1KiB\"\ncpu = \"200ms\"";

/// More than may be handed over.
pub(super) const HANDED_OVER: &[Kind] = &[
    Kind {
        plugin: SMALL_BODIES,
        ..fails("huge-answer", "host_calls")
    },
    Kind {
        plugin: SMALL_BODIES,
        ..fails("huge-string", "host_calls")
    },
    Kind {
        plugin: SMALL_BODIES,
        ..fails("huge-list", "host_calls")
    },
    Kind {
        plugin: SMALL_BODIES,
        failure: Some(("response_chunk", "host_calls")),
        client: Client::Broken,
        ..fails("huge-chunk", "host_calls")
    },
];

/// More edits than are made at once, and more than an exchange holds.
pub(super) const FLOODS: &[Kind] = &[
    Kind {
        plugin: MANY_CALLS,
        ..fails("huge-edit", "host_calls")
    },
    Kind {
        plugin: MANY_CALLS,
        ..harmless("attribute-flood")
    },
    Kind {
        plugin: MANY_CALLS,
        ..harmless("field-flood")
    },
];

/// What is denied.
pub(super) const DENIED: &[Kind] = &[
    harmless("bad-headers"),
    harmless("bad-answer"),
    harmless("denied-upstream"),
    harmless("denied-secret"),
    harmless("state"),
    harmless("itself"),
];
