import Testing

@testable import Connectors

@Suite struct ProvidersTests {
    @Test(arguments: [
        ("META_GRAPH_URL", "https://graph.facebook.com"), ("META_GRAPH_URL", "http://127.0.0.1:4000/meta/"),
        ("META_GRAPH_VERSION", "v25.0"), ("LINKEDIN_VERSION", "202610"), ("X_API_URL", "https://api.x.com"),
    ])
    func takesAnOperatorsSettings(_ name: String, _ value: String) {
        #expect(Providers.faults { $0 == name ? value : nil } == [])
    }

    @Test(arguments: [
        ("META_GRAPH_URL", "ftp://graph.facebook.com"), ("X_API_URL", "https://user@api.x.com"),
        ("LINKEDIN_API_URL", "https://api.linkedin.com/?a=b"), ("INSTAGRAM_GRAPH_URL", "graph.instagram.com"),
        ("META_GRAPH_VERSION", "25.0"), ("META_GRAPH_VERSION", "v25"), ("META_GRAPH_VERSION", "v25.0/evil"),
        ("LINKEDIN_VERSION", "2026-10"), ("LINKEDIN_VERSION", "202613"), ("LINKEDIN_VERSION", "20261"),
    ])
    func saysWhatIsWrongWithASetting(_ name: String, _ value: String) {
        let faults = Providers.faults { $0 == name ? value : nil }

        #expect(faults.count == 1 && faults[0].hasPrefix("\(name) is not "))
    }
}
