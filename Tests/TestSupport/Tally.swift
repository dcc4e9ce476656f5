import Synchronization

/// A number that many tasks raise.
package final class Tally: Sendable {
    private let count = Atomic(0)

    package init() {}

    package var value: Int { count.load(ordering: .acquiring) }

    package func raise() { count.add(1, ordering: .acquiringAndReleasing) }
}
