import Foundation
import Testing

@testable import Security

@Suite struct UUIDv7Tests {
    @Test func holdsTheTimeItsVersionAndItsVariant() {
        let now = Date(timeIntervalSince1970: 1_645_557_742.000)

        let id = UUIDv7Generator().next(now: now).uuidString

        // RFC 9562, appendix A.6: the same instant.
        #expect(id.hasPrefix("017F22E2-79B0-7"))
        #expect("89AB".contains(id[id.index(id.startIndex, offsetBy: 19)]))
    }

    @Test func risesInOneMillisecondAndWhenTheClockGoesBack() {
        let generator = UUIDv7Generator()
        let now = Date(timeIntervalSince1970: 1_800_000_000)

        let ids = (0..<20_000).map { generator.next(now: now - Double($0 / 10_000)).uuidString }

        #expect(ids == ids.sorted())
        #expect(Set(ids).count == ids.count)
    }

    @Test func risesForEveryTask() async {
        let lists = await withTaskGroup(of: [UUID].self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<2_000).map { _ in UUID.v7() } }
            }
            return await group.reduce(into: [[UUID]]()) { $0.append($1) }
        }

        #expect(Set(lists.joined()).count == 16_000)
        for list in lists {
            #expect(list.map(\.uuidString) == list.map(\.uuidString).sorted())
        }
    }

    @Test func readsTheTextOfAnyCase() {
        let id = UUID()

        #expect(UUID(ascii: Array(id.uuidString.utf8)[...]) == id)
        #expect(UUID(ascii: Array(id.uuidString.lowercased().utf8)[...]) == id)
        #expect(UUID(ascii: Array(id.uuidString.dropLast().utf8)[...]) == nil)
        #expect(UUID(ascii: Array("0189f7eaaae2c-7f6b-8b8b-0189f7eaaae2".utf8)[...]) == nil)
    }
}
