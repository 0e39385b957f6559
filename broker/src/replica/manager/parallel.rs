//! Roles that are taken side by side.

/// What `work` makes of each item, in their order. Each role that is taken waits
/// for the disk once; many of them wait together.
pub(super) fn side_by_side<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    const THREADS: usize = 8;
    const WORTH_IT_FROM: usize = 64;
    if items.len() < WORTH_IT_FROM {
        return items.iter().map(work).collect();
    }
    // Fetchers are started on the runtime of the caller.
    let runtime = tokio::runtime::Handle::try_current().ok();
    let (work, runtime) = (&work, &runtime);
    std::thread::scope(|scope| {
        let start = |chunk| {
            scope.spawn(move || {
                let _inside = runtime.as_ref().map(tokio::runtime::Handle::enter);
                <[I]>::iter(chunk).map(work).collect::<Vec<T>>()
            })
        };
        let chunks = items.chunks(items.len().div_ceil(THREADS));
        let threads: Vec<_> = chunks.map(start).collect();
        let done = threads
            .into_iter()
            .map(|thread| thread.join().expect("roles are taken without panics"));
        done.flatten().collect()
    })
}
