// SPDX-License-Identifier: Apache-2.0

package packet

// A page has a branch for each of its bytes that is set. Compiled for a type of another size it is other code, with other
// counters: that is what the types are for, and all.
const (
	markPageSize = 128
	markPages    = 96
)

func markPage[T any](page *[markPageSize]byte) {
	for i := range page {
		if page[i] == 0 {
			continue
		}
		switch i {
		case 0:
		case 1:
		case 2:
		case 3:
		case 4:
		case 5:
		case 6:
		case 7:
		case 8:
		case 9:
		case 10:
		case 11:
		case 12:
		case 13:
		case 14:
		case 15:
		case 16:
		case 17:
		case 18:
		case 19:
		case 20:
		case 21:
		case 22:
		case 23:
		case 24:
		case 25:
		case 26:
		case 27:
		case 28:
		case 29:
		case 30:
		case 31:
		case 32:
		case 33:
		case 34:
		case 35:
		case 36:
		case 37:
		case 38:
		case 39:
		case 40:
		case 41:
		case 42:
		case 43:
		case 44:
		case 45:
		case 46:
		case 47:
		case 48:
		case 49:
		case 50:
		case 51:
		case 52:
		case 53:
		case 54:
		case 55:
		case 56:
		case 57:
		case 58:
		case 59:
		case 60:
		case 61:
		case 62:
		case 63:
		case 64:
		case 65:
		case 66:
		case 67:
		case 68:
		case 69:
		case 70:
		case 71:
		case 72:
		case 73:
		case 74:
		case 75:
		case 76:
		case 77:
		case 78:
		case 79:
		case 80:
		case 81:
		case 82:
		case 83:
		case 84:
		case 85:
		case 86:
		case 87:
		case 88:
		case 89:
		case 90:
		case 91:
		case 92:
		case 93:
		case 94:
		case 95:
		case 96:
		case 97:
		case 98:
		case 99:
		case 100:
		case 101:
		case 102:
		case 103:
		case 104:
		case 105:
		case 106:
		case 107:
		case 108:
		case 109:
		case 110:
		case 111:
		case 112:
		case 113:
		case 114:
		case 115:
		case 116:
		case 117:
		case 118:
		case 119:
		case 120:
		case 121:
		case 122:
		case 123:
		case 124:
		case 125:
		case 126:
		case 127:
		}
	}
}

// mark tells the fuzzing engine which marks are set, takes them back, and says
// whether there were any.
func mark(marks []byte) bool {
	any := false
	for i, f := range [markPages]func(*[markPageSize]byte){
		markPage[[0]byte], markPage[[1]byte], markPage[[2]byte], markPage[[3]byte],
		markPage[[4]byte], markPage[[5]byte], markPage[[6]byte], markPage[[7]byte],
		markPage[[8]byte], markPage[[9]byte], markPage[[10]byte], markPage[[11]byte],
		markPage[[12]byte], markPage[[13]byte], markPage[[14]byte], markPage[[15]byte],
		markPage[[16]byte], markPage[[17]byte], markPage[[18]byte], markPage[[19]byte],
		markPage[[20]byte], markPage[[21]byte], markPage[[22]byte], markPage[[23]byte],
		markPage[[24]byte], markPage[[25]byte], markPage[[26]byte], markPage[[27]byte],
		markPage[[28]byte], markPage[[29]byte], markPage[[30]byte], markPage[[31]byte],
		markPage[[32]byte], markPage[[33]byte], markPage[[34]byte], markPage[[35]byte],
		markPage[[36]byte], markPage[[37]byte], markPage[[38]byte], markPage[[39]byte],
		markPage[[40]byte], markPage[[41]byte], markPage[[42]byte], markPage[[43]byte],
		markPage[[44]byte], markPage[[45]byte], markPage[[46]byte], markPage[[47]byte],
		markPage[[48]byte], markPage[[49]byte], markPage[[50]byte], markPage[[51]byte],
		markPage[[52]byte], markPage[[53]byte], markPage[[54]byte], markPage[[55]byte],
		markPage[[56]byte], markPage[[57]byte], markPage[[58]byte], markPage[[59]byte],
		markPage[[60]byte], markPage[[61]byte], markPage[[62]byte], markPage[[63]byte],
		markPage[[64]byte], markPage[[65]byte], markPage[[66]byte], markPage[[67]byte],
		markPage[[68]byte], markPage[[69]byte], markPage[[70]byte], markPage[[71]byte],
		markPage[[72]byte], markPage[[73]byte], markPage[[74]byte], markPage[[75]byte],
		markPage[[76]byte], markPage[[77]byte], markPage[[78]byte], markPage[[79]byte],
		markPage[[80]byte], markPage[[81]byte], markPage[[82]byte], markPage[[83]byte],
		markPage[[84]byte], markPage[[85]byte], markPage[[86]byte], markPage[[87]byte],
		markPage[[88]byte], markPage[[89]byte], markPage[[90]byte], markPage[[91]byte],
		markPage[[92]byte], markPage[[93]byte], markPage[[94]byte], markPage[[95]byte],
	} {
		page := (*[markPageSize]byte)(marks[i*markPageSize:])
		if *page == [markPageSize]byte{} {
			continue
		}
		any = true
		f(page)
		clear(page[:])
	}
	return any
}
