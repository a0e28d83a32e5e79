//! What happens on the way, for whoever shows it.

/// A step that has begun or is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A tag was given, which may point elsewhere the next moment.
    TagResolved {
        /// As given.
        reference: String,
        /// What it pointed to.
        pinned: String,
    },
    /// A certificate is being asked for.
    RequestingCertificate {
        /// Whom the token is for.
        subject: String,
        /// Fulcio's address.
        url: String,
    },
    /// The key has signed and is gone; timestamps and log entries are being asked for.
    Recording {
        /// Number of signatures.
        signatures: usize,
    },
    /// A bundle is being attached.
    Attaching {
        /// The image.
        image: String,
    },
    /// Another image is done with a stage of the work.
    Progress {
        /// What was done.
        stage: Stage,
        /// Images that are done.
        done: usize,
        /// All images.
        total: usize,
        /// Of those that are done, how many are refused or failed.
        refused: usize,
    },
    /// Something large is on its way.
    Transferring {
        /// Its digest.
        what: String,
        /// Its size.
        bytes: u64,
    },
    /// Something that the user should know, and that does not stop the work.
    Warning {
        /// One sentence.
        text: String,
    },
}

/// A stage that each of several images goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It was judged.
    Judged,
    /// It was looked up.
    LookedUp,
    /// Its signature was timestamped and logged.
    Logged,
    /// Its signature was attached.
    Attached,
}

/// Receives events.
pub type Reporter<'a> = &'a (dyn Fn(Event) + Sync);
