import Synchronization

/// The slots of one process, in which handlers of all its queues run: the urgent queues' first, and some reserved for each.
///
/// A lane has what is reserved for it whatever the others do. Of the rest the first lane that wants more gets it; a later
/// one waits while an earlier one has been refused.
package final class Lanes: Sendable {
    private struct State {
        var slots: Slots
        var wakes: [(@Sendable () -> Void)?]
    }

    private let state: Mutex<State>

    /// - Parameters:
    ///   - total: how many calls of handlers run at once in all.
    ///   - reserves: how many of them each lane has to itself, the most urgent lane first.
    package init(total: Int, reserves: [Int]) {
        let slots = Slots(total: total, reserves: reserves)
        state = Mutex(State(slots: slots, wakes: reserves.map { _ in nil }))
    }

    /// The lane of this number, for one consumer.
    package subscript(_ number: Int) -> Lane { Lane(lanes: self, number: number) }

    fileprivate func take(_ lane: Int, _ wanted: Int) -> Int {
        state.withLock { $0.slots.take(lane, wanted) }
    }

    fileprivate func give(_ lane: Int, _ count: Int, isSated: Bool) {
        let wakes = state.withLock { state in
            state.slots.give(lane, count, isSated: isSated)
            return state.slots.hungry.filter { $0 != lane }.compactMap { state.wakes[$0] }
        }
        guard count > 0 else { return }
        for wake in wakes { wake() }
    }

    fileprivate func force(_ lane: Int, _ count: Int) {
        state.withLock { $0.slots.force(lane, count) }
    }

    fileprivate func onFree(_ lane: Int, _ wake: @escaping @Sendable () -> Void) {
        state.withLock { $0.wakes[lane] = wake }
    }
}

/// One consumer's place among the ``Lanes``.
package struct Lane: Sendable {
    fileprivate let lanes: Lanes
    fileprivate let number: Int

    /// Takes up to so many slots.
    func take(_ wanted: Int) -> Int { lanes.take(number, wanted) }

    /// Gives slots back; `isSated` says that the queue had no more jobs than there were slots.
    func give(_ count: Int, isSated: Bool = false) { lanes.give(number, count, isSated: isSated) }

    /// Counts slots for what runs already, though there be none left.
    func force(_ count: Int) { lanes.force(number, count) }

    /// Has `wake` called when slots become free after this lane was refused some.
    func onFree(_ wake: @escaping @Sendable () -> Void) { lanes.onFree(number, wake) }
}

/// Who has how many slots: the decision alone.
struct Slots {
    private let total: Int
    private let reserves: [Int]
    private(set) var used: [Int]
    private var isHungry: [Bool]

    init(total: Int, reserves: [Int]) {
        // Whoever reserves something has it, and everybody has one: a lane without any would never run.
        self.reserves = reserves.map { max(1, $0) }
        self.total = max(total, self.reserves.reduce(0, +))
        used = reserves.map { _ in 0 }
        isHungry = reserves.map { _ in false }
    }

    /// The lanes that were refused slots, the most urgent first.
    var hungry: [Int] { isHungry.indices.filter { isHungry[$0] } }

    mutating func take(_ lane: Int, _ wanted: Int) -> Int {
        let own = max(0, reserves[lane] - used[lane])
        let reserved = reserves.indices.reduce(0) { $0 + max(0, reserves[$1] - used[$1]) }
        var free = max(own, total - used.reduce(0, +) - reserved + own)
        if isHungry[..<lane].contains(true) { free = own }
        let granted = max(0, min(wanted, free))
        isHungry[lane] = granted < wanted
        used[lane] += granted
        return granted
    }

    mutating func give(_ lane: Int, _ count: Int, isSated: Bool) {
        used[lane] = max(0, used[lane] - count)
        if isSated { isHungry[lane] = false }
    }

    mutating func force(_ lane: Int, _ count: Int) {
        used[lane] += count
    }
}
