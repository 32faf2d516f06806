/** AssemblyScript's integer names as the host sees them, so that memory-map.ts is one file for both. */
declare type usize = number;
declare type u32 = number;
declare type i32 = number;
