//! Jobs that are steps of something which was accepted as a whole: they count neither as jobs nor
//! against a limit.

use super::admit::Held;
use super::board::{Board, JobId};
use super::handle::JobHandle;
use super::raw::{Parts, Raw};
use super::reference::JobRef;
use super::submit::queue;
use super::work::{Plain, Step};
use crate::engine::clock;
use crate::engine::registry::Registry;

/// Queues a step. `f` is dropped if the pool runs no more. What is returned is for whoever waits for
/// the step.
pub(crate) fn queue_step(
    registry: &Registry,
    level: u8,
    id: JobId,
    f: impl FnOnce() + Send + 'static,
) -> JobRef {
    let parts = Parts {
        call: Plain(f),
        extra: Step(id),
        level,
        is_timed: false,
        token: None,
        enqueued: clock::ticks(),
        is_gated: false,
        held: Held::NONE,
    };
    let raw = Raw::new(registry, parts);
    queue(registry, level, raw);
    // SAFETY: the job's output is `()`, and this is its only handle.
    let handle: JobHandle<()> = unsafe { JobHandle::new(raw) };
    // A shutdown whose look into the lanes has missed it is seen here, as in `accept`.
    if Board::of(registry).is_discarding() {
        handle.abandon();
    }
    let step = handle.job_ref();
    handle.detach();
    step
}
