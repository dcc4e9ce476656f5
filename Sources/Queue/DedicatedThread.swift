import Dispatch
import Foundation
import Synchronization

/// A thread of its own for tasks that must run on time while handlers keep every thread of the cooperative pool busy.
///
/// One serves the whole process. What runs on it must be short.
final class DedicatedThread: TaskExecutor {
    static let shared = DedicatedThread(name: "queue-locks")

    private struct Timer {
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var jobs: [UnownedJob] = []
        var timers: [UInt64: Timer] = [:]
        var nextTimer: UInt64 = 0
        /// Timers whose task was cancelled before they were set.
        var cancelled: Set<UInt64> = []
    }

    private let state = Mutex(State())
    private let work = DispatchSemaphore(value: 0)

    init(name: String) {
        let thread = Thread { [self] in run() }
        thread.name = name
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
        work.signal()
    }

    /// Waits without help of the cooperative pool's timers; returns early when the task is cancelled.
    func sleep(for duration: Duration) async {
        let number = state.withLock { state in
            state.nextTimer += 1
            return state.nextTimer
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isCancelled = state.withLock { state in
                    guard state.cancelled.remove(number) == nil else { return true }
                    state.timers[number] = Timer(deadline: .now + duration, continuation: continuation)
                    return false
                }
                if isCancelled { continuation.resume() } else { work.signal() }
            }
        } onCancel: {
            let timer = state.withLock { state in
                guard let timer = state.timers.removeValue(forKey: number) else {
                    state.cancelled.insert(number)
                    return nil as Timer?
                }
                return timer
            }
            timer?.continuation.resume()
        }
        // A cancellation between the timer's end and here has left its number behind.
        _ = state.withLock { $0.cancelled.remove(number) }
    }

    private func run() {
        while true {
            let now = ContinuousClock.now
            let (jobs, due, next) = state.withLock { state in
                let jobs = state.jobs
                state.jobs = []
                let due = state.timers.filter { $0.value.deadline <= now }
                for number in due.keys { state.timers[number] = nil }
                return (jobs, due.values.map(\.continuation), state.timers.values.map(\.deadline).min())
            }
            for continuation in due { continuation.resume() }
            for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
            guard jobs.isEmpty, due.isEmpty else { continue }
            if let next {
                _ = work.wait(timeout: .now() + .nanoseconds(Int(now.duration(to: next).nanoseconds)))
            } else {
                work.wait()
            }
        }
    }
}

extension Duration {
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
