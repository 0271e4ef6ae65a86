import { openStore } from '../cache/disk-store-fixture.ts';
import { pageStoreContract } from './page-store.contract.ts';

pageStoreContract('one folder', { open: async () => (await openStore()).store });
