import Foundation
import Testing

@testable import Host

@Suite struct InFlightTests {
    private let path = NSTemporaryDirectory() + "delightchat-in-flight-\(UUID().uuidString)"

    @Test func namesWhatIsAtWorkAndNothingElse() throws {
        defer { try? FileManager.default.removeItem(atPath: path) }  // in the temporary folder it does no harm
        let record = InFlight(path: path)
        let first = record.begin("close-ticket", "request-1")
        _ = record.begin("receive-message", "inbound 17")

        record.end(first)

        #expect(InFlight.read(path: path) == ["receive-message inbound 17"])
    }

    @Test func givesAFreeSlotAgain() throws {
        defer { try? FileManager.default.removeItem(atPath: path) }  // in the temporary folder it does no harm
        let record = InFlight(path: path)
        let slots = (0..<InFlight.slots).map { record.begin("list-tickets", "request-\($0)") }
        #expect(record.begin("list-tickets", "one too many") == nil)

        record.end(slots[7])

        #expect(record.begin("get-ticket", "last") == slots[7])
        #expect(InFlight.read(path: path).count == InFlight.slots)
        #expect(InFlight.read(path: path).contains("get-ticket last"))
    }

    @Test func keepsALongNameWithinItsSlot() throws {
        defer { try? FileManager.default.removeItem(atPath: path) }  // in the temporary folder it does no harm
        let record = InFlight(path: path)

        _ = record.begin("get-ticket", String(repeating: "x", count: 1000))
        _ = record.begin("get-me", "next")

        let lines = InFlight.read(path: path)
        #expect(lines.count == 2)
        #expect(lines.first?.utf8.count == InFlight.width - 2)
        #expect(lines.last == "get-me next")
    }

    @Test func startsEmptyAfterACrash() throws {
        defer { try? FileManager.default.removeItem(atPath: path) }  // in the temporary folder it does no harm
        _ = InFlight(path: path).begin("get-me", "before")

        _ = InFlight(path: path)

        #expect(InFlight.read(path: path) == [])
        #expect(InFlight.read(path: path + "-absent") == [])
    }

    @Test func doesWithoutAFile() {
        let record = InFlight(path: nil)

        #expect(record.begin("get-me", "a") == nil)
        record.end(nil)
    }
}
