import Testing

@testable import Host

@Suite struct StartPagesTests {
    private static let maps = """
        5500000000-5500002000 r--p 00000000 fe:00 42                         /srv/runner
        5500002000-5500009000 r-xp 00002000 fe:00 42                         /srv/runner
        5500009000-550000a000 r--p 00009000 fe:00 42                         /srv/runner
        550000a000-550000b000 rw-p 0000a000 fe:00 42                         /srv/runner
        7f0000000000-7f0000001000 r-xp 00000000 fe:00 43                     /usr/lib/libpq.so.5
        7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                      [stack]
        """

    @Test func takesWhatNobodyCanHaveWritten() {
        #expect(
            StartPages.ranges(in: Self.maps, of: "/srv/runner")
                == [0x55_0000_0000..<0x55_0000_2000, 0x55_0000_2000..<0x55_0000_9000]
        )
    }

    @Test(arguments: ["/srv/other", "[stack]", ""])
    func takesNothingOfAnotherFile(_ file: String) {
        #expect(StartPages.ranges(in: Self.maps, of: file) == [])
    }

    @Test func theProcessGoesOn() {
        StartPages.release()

        #expect((1...100).map(String.init).joined(separator: ",").count == 291)
    }
}
