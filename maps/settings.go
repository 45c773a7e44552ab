// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"github.com/vethway/vethway/bpf"
)

// SettingsTable holds what is the same for all containers, in its only entry.
type SettingsTable = Table[uint32, Settings]

// SettingsFlags are the SETTING_* bits of bpf/lib/layout.h.
type SettingsFlags uint32

// SettingAnyRemote is set while some network has NetworkAnyRemote.
const SettingAnyRemote SettingsFlags = 1

// SettingBindTCP gives TCP one external port for each internal one, whatever the destination.
const SettingBindTCP SettingsFlags = 2

// SettingPortsRest has the external ports of containers that are gone rest until they are collected.
const SettingPortsRest SettingsFlags = 4

// Settings are what is the same for all containers.
type Settings struct {
	Flags    SettingsFlags
	MaxFlows uint32 // that a container may have at the same time; 0: any number
	MaxRate  uint32 // and begin in a second; 0: any number
	// Detour is the ifindex of the way to where fragments are put in order; 0: none. DetourMAC is the far end's.
	Detour    uint32
	DetourMAC MAC
	// Cutter and CutterMAC are the same for where datagrams are cut up.
	Cutter    uint32
	CutterMAC MAC
}

func settingsWire() wire[uint32, Settings] {
	return codec[uint32, Settings, uint32, bpf.VethwaySettingsValue]{
		key: same[uint32], unkey: same[uint32],
		value: func(v Settings) bpf.VethwaySettingsValue {
			return bpf.VethwaySettingsValue{
				Flags: uint32(v.Flags), MaxFlows: v.MaxFlows, MaxRate: v.MaxRate,
				Detour: v.Detour, DetourMac: v.DetourMAC, Cutter: v.Cutter, CutterMac: v.CutterMAC,
			}
		},
		unvalue: func(v bpf.VethwaySettingsValue) Settings {
			return Settings{
				Flags: SettingsFlags(v.Flags), MaxFlows: v.MaxFlows, MaxRate: v.MaxRate,
				Detour: v.Detour, DetourMAC: v.DetourMac, Cutter: v.Cutter, CutterMAC: v.CutterMac,
			}
		},
	}
}

func settingsRow(_ uint32, v Settings) Row {
	return Row{
		{"flags", bitNames(uint32(v.Flags), "any-remote", "bind-tcp")},
		{"max_flows", v.MaxFlows},
		{"max_rate", v.MaxRate},
		{"detour", v.Detour},
		{"cutter", v.Cutter},
	}
}
