import Testing

@testable import Connectors

/// Every code that Meta documents for senders, with its class.
@Suite struct GraphFaultsTests {
    private static let common: [(codes: [Int64], kind: GraphFaults.Class)] = [
        ([1, 2], .few),
        ([4, 17, 32, 613, 80007, 80000, 80002, 80014], .pace),
        ([3, 10, 200, 230, 299], .channel),
        ([100, 33], .message),
        ([102, 190, 0], .channel),
        ([368], .channel),
        ([506], .message),
    ]

    @Test(arguments: common)
    func knowsWhatAllProductsShare(_ codes: [Int64], _ kind: GraphFaults.Class) {
        for code in codes {
            #expect(GraphFaults.whatsApp(code: code, subcode: nil, status: 400) == kind, "\(code)")
            #expect(GraphFaults.messenger(code: code, subcode: nil, status: 400) == kind, "\(code)")
            #expect(GraphFaults.instagram(code: code, subcode: nil, status: 400) == kind, "\(code)")
        }
    }

    @Test(arguments: [
        ([130429], GraphFaults.Class.pace),
        ([131056], .pair),
        ([131048, 131064], .strangers),
        ([131000, 131016, 133004, 135000], .few),
        ([131057], .retry),
        ([131026, 131021, 131030, 130472, 131049, 131050, 130497], .recipient),
        ([131047, 131051, 131008, 131009, 131052, 131053, 131062, 131063, 137000], .message),
        ([132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068, 132069], .template),
        ([131005, 131031, 131037, 131042, 131044, 131045, 133010, 368, 190], .channel),
    ])
    func knowsWhatsAppsCodes(_ codes: [Int64], _ kind: GraphFaults.Class) {
        for code in codes {
            #expect(GraphFaults.whatsApp(code: code, subcode: nil, status: 400) == kind, "\(code)")
        }
    }

    @Test(
        arguments: [
            (10, 2_018_278, GraphFaults.Class.message), (10, 2_018_065, .message), (10, 2_018_108, .recipient),
            (551, 1_545_041, .recipient), (200, 1_545_041, .recipient), (100, 2_018_001, .recipient),
            (100, 2_018_109, .message), (100, 2_018_034, .message), (100, 2_018_047, .message),
            (10, 1_893_063, .channel),
            (4, 2_018_022, .pace), (1200, nil, .retry), (-1, nil, .retry), (2, nil, .few),
        ] as [(Int64, Int64?, GraphFaults.Class)]
    )
    func knowsMessengersCodes(_ code: Int64, _ subcode: Int64?, _ kind: GraphFaults.Class) {
        #expect(GraphFaults.messenger(code: code, subcode: subcode, status: 400) == kind)
    }

    @Test(
        arguments: [
            (10, 2_534_022, GraphFaults.Class.message), (100, 2_534_014, .recipient), (613, nil, .pace),
            (4, nil, .pace),
            (80002, nil, .pace), (190, nil, .channel), (10, nil, .channel), (200, nil, .channel),
        ] as [(Int64, Int64?, GraphFaults.Class)]
    )
    func knowsInstagramsCodes(_ code: Int64, _ subcode: Int64?, _ kind: GraphFaults.Class) {
        #expect(GraphFaults.instagram(code: code, subcode: subcode, status: 403) == kind)
    }

    /// A code of tomorrow: its status is all there is.
    @Test(arguments: [(429, GraphFaults.Class.pace), (500, .few), (401, .channel), (403, .channel), (400, .message)])
    func decidesByStatusWhereACodeIsUnknown(_ status: Int, _ kind: GraphFaults.Class) {
        #expect(GraphFaults.whatsApp(code: 999_999, subcode: nil, status: status) == kind)
    }

    @Test func whoGotTooManyWaitsEverLonger() {
        #expect(
            (1...6).map { GraphFaults.pairPause(attempt: $0) } == [6, 16, 64, 256, 1024, 1024].map { .seconds($0) }
        )
    }
}
